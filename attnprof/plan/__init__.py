"""What follows from a count: answers of the commands, limits, rooflines, waterfalls, audits."""
