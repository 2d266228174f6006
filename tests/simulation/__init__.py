"""A whole Byre in one process under a simulated clock and a simulated broker, from one seed.

What is real: the tables in a SQLite file, all use cases, runs, sweeps and services, the Celery
applications of every kind of process with their tasks, routes, serializer, chains, retries and
acknowledgements, the runner, a hypervisor's ledger, journal, heart and surveyor, the fake driver.
What is simulated: time, the broker behind kombu's transport interface, the loop that takes messages
off a queue, and death.

How it stays faithful. A message is published by Celery through kombu into `broker.Channel`, as JSON
with all its headers. It is taken by `workers.Worker`, which makes Celery's own `Request` of it and
has it executed by Celery's own tracer: what is acknowledged, rejected, retried later or followed by
the next link of its chain is decided by Celery.

How it stays deterministic. Whatever a process does is an actor (`turns`): a thread, of which only
one has the turn. It gives the turn back where in the world others would get ahead of it: before and
after each verb of a driver, each message sent and each commit, and wherever it sleeps. Which one is
next, what is done to whom, all ids and all times come from the seed.

    python -m tests.simulation --seed 17 -v     one seed, with its trace
    python -m tests.simulation --seeds 200      seeds 0 to 199, and a table
"""
