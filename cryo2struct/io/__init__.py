"""Files to objects and back: maps, sequences, models, candidates; the only room that opens users' files."""
