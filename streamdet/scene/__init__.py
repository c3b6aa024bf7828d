"""A rendered street with exact ground truth: for tests, for the demo, and beside photographs for training.

Each module imports only from those below it:

- `scene`: the settings, the frames and their ground truth; `painter` paints one frame, `shapes` says where joints are
- `traffic`, `backdrop`: all actors of a scene, and the still picture behind them
- `paths`: movement over time, and the free space between paths
- `vehicles`, `hulls`: cars, buses and trucks of hulls on wheels, and cycles
- `furniture`, `people`, `ground`: lamp posts, trees and benches; dressed persons; road and pavement
- `figures`: the building blocks of people, vehicles and furniture, and their rasterisation
- `light`, `camera`, `plan`, `pose`, `truth`: sun and weather, the camera and its sensor, the layout of the street,
  body poses, the ground truth
"""
