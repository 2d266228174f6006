"""A hypervisor in memory: product code for tests, for benchmarks and for a first look at Byre.

It keeps the port's contract (tests/drivers runs the same suite on it and on libvirt), fails and
lingers where it is told to, and its guests boot after a settable time, or never. Nothing is
downloaded unless an image cache is given, and nothing sent unless it is told how.
"""

from workers.hypervisor.fake.hypervisor import FakeHypervisor

__all__ = ["FakeHypervisor"]
