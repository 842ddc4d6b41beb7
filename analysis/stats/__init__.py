"""Statistics: arrays in, arrays out. No files, no clock, and every draw from a seed given."""
