"""`python -m fairlead_agent`, the same as the command fairlead-agent."""

from fairlead_agent.cli import main

main()
