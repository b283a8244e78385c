"""How tasks are learnt together: the loss of a run is the sum of its terms, each a module of `bench.methods.terms`."""
