"""python -m mono2many"""

from mono2many.cli import main

main()
