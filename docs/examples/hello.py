import time

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello():
    return "hello"


@app.get("/slow")
def slow():
    time.sleep(3)
    return "at last"
