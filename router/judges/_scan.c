/* The inner loop of the linear judge: one pass over a text, no allocation. Computes exactly what ngrams.py and
 * characters.py say in numpy (tests hold the two together); knows no weights beyond the table that it is given.
 *
 * scan(text, classes, table, shift) -> (sum, tokens, counts)
 *   text     str, lower case; the first MAX_CHARS characters are read
 *   classes  65536 bytes: the class of each code point of the basic plane; others share the last one
 *   table    float32 buffer of 2**(64 - shift) weights
 *   sum      the weights of all n-grams, those of a long middle damped
 *   counts   a tuple: how many characters of each class
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define MAX_CHARS 4096
#define EDGE_TOKENS 96
#define STEM_CHARS 5
#define CLASSES 10
#define BASE 0x9E3779B97F4A7C15ULL
#define FIRST 0xD6E8FEB86659FD93ULL
#define SECOND 0xA0761D6478BD642FULL
#define NUMBER_SALT 0x589965CC75374CC3ULL
#define STEM_SALT 0x8EBC6AF09C88C6E3ULL
#define MIX 0xE7037ED1A0B428DBULL
#define MIX_SHIFT 29

enum { SPACE = 0, LETTER = 1, DIGIT = 2 };

typedef struct {
    uint64_t words[MAX_CHARS];
    uint64_t stems[MAX_CHARS];
    uint8_t has_stem[MAX_CHARS];
} Tokens;

static inline float look_up(const float *table, int shift, uint64_t hash)
{
    hash ^= hash >> MIX_SHIFT;
    hash *= MIX;
    return table[hash >> shift];
}

static PyObject *scan(PyObject *module, PyObject *args)
{
    PyObject *text;
    Py_buffer classes, table;
    int shift;
    if (!PyArg_ParseTuple(args, "Uy*y*i", &text, &classes, &table, &shift))
        return NULL;
    if (classes.len != 65536 || shift < 32 || shift > 60 ||
        table.len != (Py_ssize_t)(sizeof(float) << (64 - shift))) {
        PyBuffer_Release(&classes);
        PyBuffer_Release(&table);
        PyErr_SetString(PyExc_ValueError, "classes or table has the wrong size");
        return NULL;
    }
    const uint8_t *class_of = classes.buf;
    const float *weights = table.buf;
    const int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    if (size > MAX_CHARS)
        size = MAX_CHARS;

    long counts[CLASSES] = {0};
    Tokens tokens; /* 68 KB of stack: far below any thread's limit */
    Py_ssize_t n = 0, i = 0;
    while (i < size) {
        Py_UCS4 code = PyUnicode_READ(kind, data, i);
        if (code > 0xFFFF)
            code = 0xFFFF;
        const uint8_t class = class_of[code];
        if (class >= CLASSES) { /* a table that is not ours */
            i++;
            continue;
        }
        counts[class]++;
        if (class == SPACE) {
            i++;
            continue;
        }
        uint64_t hash = code, power = BASE, stem = 0;
        Py_ssize_t length = 1;
        i++;
        if (class == LETTER || class == DIGIT) {
            while (i < size) {
                code = PyUnicode_READ(kind, data, i);
                if (code > 0xFFFF)
                    code = 0xFFFF;
                if (class_of[code] != class)
                    break;
                if (length == STEM_CHARS)
                    stem = hash + STEM_SALT;
                hash += (uint64_t)code * power;
                power *= BASE;
                length++;
                i++;
            }
            counts[class] += length - 1;
        }
        /* The length of a longer number is evidence, its value is not. */
        tokens.words[n] = class == DIGIT && length > 1 ? (uint64_t)length * NUMBER_SALT : hash;
        tokens.has_stem[n] = length > STEM_CHARS;
        tokens.stems[n] = stem;
        n++;
    }

    const Py_ssize_t middle = n - 2 * EDGE_TOKENS;
    const double damped = middle > EDGE_TOKENS ? (double)EDGE_TOKENS / (double)middle : 1.0;
    double sum = 0.0;
    for (Py_ssize_t k = 0; k < n; k++) {
        /* An n-gram counts as much as its last token. */
        double here = look_up(weights, shift, tokens.words[k]);
        if (k >= 1) {
            const uint64_t pair = tokens.words[k - 1] * FIRST + tokens.words[k];
            here += look_up(weights, shift, pair);
        }
        if (k >= 2) {
            const uint64_t pair = tokens.words[k - 2] * FIRST + tokens.words[k - 1];
            here += look_up(weights, shift, pair * SECOND + tokens.words[k]);
        }
        if (tokens.has_stem[k])
            here += look_up(weights, shift, tokens.stems[k]);
        sum += k >= EDGE_TOKENS && k < n - EDGE_TOKENS ? here * damped : here;
    }
    PyBuffer_Release(&classes);
    PyBuffer_Release(&table);
    return Py_BuildValue("dn(llllllllll)", sum, n, counts[0], counts[1], counts[2], counts[3], counts[4], counts[5],
                         counts[6], counts[7], counts[8], counts[9]);
}

static PyMethodDef methods[] = {
    {"scan", scan, METH_VARARGS, "scan(text, classes, table, shift) -> (sum, tokens, counts)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_scan", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__scan(void) { return PyModule_Create(&definition); }
