"""The browser demo: a page with a video tab and a webcam tab."""
