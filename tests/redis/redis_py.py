"""One redis-py client for the tests: commands come as lines of JSON, and what happens goes out as such lines.

Bytes are written as latin1, so that each of them is one character.
"""

import json
import queue
import sys
import threading

import redis

host, port, protocol = sys.argv[1:4]
client = redis.Redis(host=host, port=int(port), protocol=int(protocol))
pubsub = client.pubsub()
commands = queue.Queue()


def say(**what):
    print(json.dumps(what), flush=True)


def text(value):
    return value.decode("latin1") if isinstance(value, bytes) else value


def read():
    for line in sys.stdin:
        commands.put(json.loads(line))
    commands.put(None)


def do(command):
    name, words = command["do"], [word.encode("latin1") for word in command["words"]]
    if name == "publish":
        return client.publish(*words)
    if name == "spublish":
        return client.spublish(*words)
    getattr(pubsub, name)(*words)
    return None


threading.Thread(target=read, daemon=True).start()
while True:
    try:
        command = commands.get(block=not pubsub.subscribed, timeout=None)
        if command is None:
            break
        try:
            say(number=command["number"], value=do(command))
        except redis.RedisError as error:
            say(number=command["number"], error=str(error))
        continue
    except queue.Empty:
        pass
    try:
        # It connects and subscribes again by itself, and gives up after some tries.
        message = pubsub.get_message(timeout=0.02)
    except redis.ConnectionError as error:
        say(lost=str(error))
        continue
    if message is not None:
        say(type=message["type"], channel=text(message["channel"]), data=text(message["data"]), pattern=text(message["pattern"]))
