from taut.cli import main

main()
