"""`python -m pymailbox`: the command line."""

from pymailbox.cli import program

if __name__ == "__main__":
    program()
