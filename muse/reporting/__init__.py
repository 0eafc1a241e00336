"""Reports from records alone: a view with every number finished, and three skins. Loads without torch."""
