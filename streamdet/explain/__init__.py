"""Why ids begin, are lost and end: decisions recorded while tracking, and told in words afterwards."""
