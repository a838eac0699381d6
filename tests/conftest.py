from hypothesis import settings

# A deadline for each example would fail on a busy machine, and on whatever is imported by the first one.
settings.register_profile("attnprof", deadline=None)
settings.load_profile("attnprof")
