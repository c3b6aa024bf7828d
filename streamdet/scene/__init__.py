"""A rendered street with exact ground truth: for tests, for the demo, and beside photographs for training.

`settings` says which street, `scene` gives its frames and `truth` what they show; `stage` paints a moment, in the order
that `occlusion` finds. Below them are rooms, each of which imports from lower ones alone:

- `traffic`: who moves where and when; actors, their paths, and the room between them
- `street`: what stands still; plan, ground, houses and furniture, painted once as the backdrop
- `people`: a pose and an outfit make a body
- `vehicles`: hulls on wheels, and cycles
- `figures`: what people, vehicles and furniture are made of; a moment, colours, round limbs, and the painted sprite
- `light`: sun, sky, lamps and weather; shadows and shine
- `view`: the camera, its sway and its sensor
"""
