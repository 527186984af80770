"""The first example of bottle's documentation."""

from bottle import route, run, template


@route("/hello/<name>")
def index(name):
    return template("<b>Hello {{name}}</b>!", name=name)


def main():
    run(host="localhost", port=8080)
