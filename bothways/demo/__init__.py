"""The examples the package ships: ``messages.csv``, 540 invented messages to a public library in six classes."""
