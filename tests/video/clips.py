"""Which of the stored clips stand for the others."""

# Planar, both ranges, 8 and 10 bits, with and without B-frames.
CODED_CLIPS = (
    "av1_video.mkv",
    "bt709_full_range.mp4",
    "car-detection.mp4",
    "h264_10bits.mp4",
    "h265_10bits.mp4",
    "h265_video.mp4",
    "nasa_13013.mp4",
)
