"""The defaults that the command line, the Python call and the demo share."""

# Below this score a detection is noise even to a tracker; between it and the tracker's own threshold it can keep a
# track alive (ByteTrack, arXiv 2110.06864, section 3).
TRACKING_CONF = 0.1
NMS_IOU = 0.7
IMAGE_SIZE_PX = 640
TRACKER = "streamsort"
