"""Who reaches whom: patterns as graphs, engines that answer exactly, metrics over their answers."""
