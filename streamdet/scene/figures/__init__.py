"""What everything that moves or stands is made of: a place, round limbs, colours, and the sprite painted of them."""
