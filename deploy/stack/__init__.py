"""The whole of Byre on one machine, as background processes: `python -m deploy.stack up`.

It installs nothing (deploy/install does) and uses the standard library only, beside PyYAML for
clouds.yaml. Every process gets a pid file, a log, and a check that proves it alive.
"""
