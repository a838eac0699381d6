"""Engines of one question: who reaches whom after how many layers. Each answers the stacks that it understands."""
