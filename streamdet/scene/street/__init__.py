"""What stands still: the plan of a street, ground, houses and furniture."""
