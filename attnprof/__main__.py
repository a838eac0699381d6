"""`python -m attnprof`."""

from attnprof.cli import main

if __name__ == "__main__":
    main()
