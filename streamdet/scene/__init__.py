"""A rendered street with exact ground truth: for tests, for the demo, and beside photographs for training.

`scene` gives the frames and what they show, `painter` paints one of them. Below, each imports from later ones alone:

- `traffic`, `paths`: who moves where and when, and the room between them
- `people`, `pose`: a pose and an outfit make a body
- `vehicles`, `hulls`: cars, buses and trucks of hulls on wheels, and cycles
- `backdrop`, `furniture`, `ground`, `plan`: what stands still
- `figures`: what people, vehicles and furniture are made of, and how they are painted
- `light`, `camera`, `truth`: sun and weather, the camera and its sensor, the exact boxes
"""
