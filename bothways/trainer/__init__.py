"""The ecosystem's ``Trainer`` over the engine: arguments, callbacks, collators and the class itself."""
