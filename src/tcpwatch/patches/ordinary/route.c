/* A request's route and view: what patches/flask.py does when Flask has matched it. */

#include "ordinary.h"

/* context.request.url_rule; NULL, with or without an exception, if there is none of these. */
static PyObject *
rule_of(PyObject *context)
{
    PyObject *request = PyObject_GetAttr(context, words.request);
    PyObject *rule = request == NULL ? NULL : PyObject_GetAttr(request, words.url_rule);
    Py_XDECREF(request);
    return rule;
}

/* context.app.view_functions.get(rule.endpoint) */
static PyObject *
view_function(PyObject *context, PyObject *rule)
{
    PyObject *app = PyObject_GetAttr(context, words.app), *view = NULL;
    PyObject *views = app == NULL ? NULL : PyObject_GetAttr(app, words.view_functions);
    PyObject *endpoint = views == NULL ? NULL : PyObject_GetAttr(rule, words.endpoint);
    if (endpoint != NULL) {
        view = PyObject_CallMethodOneArg(views, words.get, endpoint);
    }
    Py_XDECREF(app);
    Py_XDECREF(views);
    Py_XDECREF(endpoint);
    return view;
}

/* view_of(view, method) */
static PyObject *
place_of(PyObject *view, PyObject *method)
{
    PyObject *identity = PyLong_FromVoidPtr(view);
    PyObject *key = identity == NULL ? NULL : PyTuple_Pack(2, identity, method), *place = NULL;
    PyObject *known = key == NULL ? NULL : PyDict_GetItemWithError(given.known_views, key);
    if (known != NULL) {
        place = Py_NewRef(PyTuple_GET_ITEM(known, 1));
    } else if (!PyErr_Occurred()) {
        place = PyObject_CallFunctionObjArgs(given.view_of, view, method, NULL);
    }
    Py_XDECREF(identity);
    Py_XDECREF(key);
    return place;
}

/* Where the view is, which only spans say. */
static int
note_view(PyObject *exchange, PyObject *context, PyObject *rule)
{
    PyObject *view = view_function(context, rule);
    if (view == NULL || view == Py_None) {
        Py_XDECREF(view);
        return view == NULL ? -1 : 0;
    }
    PyObject *request = PyObject_GetAttr(context, words.request);
    PyObject *method = request == NULL ? NULL : PyObject_GetAttr(request, words.method);
    int done = method == NULL ? -1 : put(&EXCHANGE(exchange)->view, place_of(view, method));
    Py_DECREF(view);
    Py_XDECREF(request);
    Py_XDECREF(method);
    return done;
}

/* output.requests.route, for a span that somebody may have touched */
static int
tell_span(PyObject *exchange)
{
    PyObject *output = Py_NewRef(HUB(output));
    if (output == Py_None) {
        Py_DECREF(output);
        return 0;
    }
    PyObject *requests = PyObject_GetAttr(output, words.requests), *none = NULL;
    if (requests != NULL) {
        none = PyObject_CallMethodObjArgs(requests, words.route, exchange,
                                          EXCHANGE(exchange)->route, NULL);
    }
    Py_DECREF(output);
    Py_XDECREF(requests);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

static int
note_route(PyObject *exchange, PyObject *context)
{
    PyObject *rule = rule_of(context);
    if (rule == NULL || rule == Py_None) {
        Py_XDECREF(rule);
        return rule == NULL ? -1 : 0;
    }
    int done = put_attribute(&EXCHANGE(exchange)->route, rule, words.rule);
    if (done == 0 && EXCHANGE(exchange)->span_facts != Py_None) {
        done = note_view(exchange, context, rule);
        if (done == 0 && EXCHANGE(exchange)->span != Py_None) {
            done = tell_span(exchange);
        }
    }
    Py_DECREF(rule);
    return done;
}

PyObject *
matched(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *connection = of_this_thread();
    PyObject *exchange = connection == NULL ? NULL : CONNECTION(connection)->exchange;
    if (!is_a(exchange, given.Exchange) || EXCHANGE(exchange)->route != Py_None) {
        Py_XDECREF(connection);
        LEAVE_TO_PYTHON(matched);
    }
    Py_INCREF(exchange);
    int done = note_route(exchange, args[0]);
    Py_DECREF(exchange);
    Py_DECREF(connection);
    if (done < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
