"""Why ids begin, are lost and end: the tracker's decisions, recorded while tracking and put in words afterwards."""
