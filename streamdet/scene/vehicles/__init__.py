"""Cars, buses and trucks of hulls on wheels; bicycles and motorcycles of tubes."""
