"""A street of one lane each way, a pavement before houses to the right, and parking to the left."""

from streamdet.scene.plan import Band, Plan, TrafficLane

STREET = Plan(
    bands=(Band(-6, -3, "paving", "walk"), Band(-3, 3, "asphalt", "road"), Band(3, 5, "asphalt", "parking")),
    lanes=(TrafficLane(-1.5, 1, 8.0), TrafficLane(1.5, -1, 8.0)),
    walls=(-6, 5),
    walled=(True, False),
    crossing=None,
    lawns=(),
    beyond="grass",
)
