"""Images that were ordered ahead of their builds, on their way from the order to the fetch."""

import queue
import threading

from tasks.messages import ImageSource


class Warming:
    """A line of images; `changed` is set whenever one begins or ends to be fetched."""

    def __init__(self) -> None:
        self.changed = threading.Event()
        self._line: queue.SimpleQueue[ImageSource | None] = queue.SimpleQueue()

    def put(self, image: ImageSource) -> None:
        """Have the image fetched when its turn comes. Twice is as good as once."""
        self._line.put(image)

    def next(self) -> ImageSource | None:
        """Wait for the next one; None is the end."""
        return self._line.get()

    def end(self) -> None:
        """Let whoever waits go."""
        self._line.put(None)
