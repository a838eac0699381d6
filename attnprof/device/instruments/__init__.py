"""What devices are read with, clocks, sensors and allocators, and what every device must offer."""
