/* The inner loop of the linear judge: one pass over a text, no allocation. Computes exactly what ngrams.py and
 * characters.py say in numpy (tests hold the two together); knows no weights beyond the table that it is given.
 *
 * scan(text, classes, table, shift, shape, circumstances) -> (sum, tokens, pushed)
 *   text     str, lower case; the first MAX_CHARS characters are read
 *   classes  65536 bytes: the class of each code point of the basic plane; others share the last one
 *   table    float16 buffer of 2**(64 - shift) weights: half the size stays in the processor's cache twice as well
 *   shape    float64 buffer of SHAPE weights, in the order of shape.py
 *   circumstances  bits: tools, format, images, turns, approved, as in shape.py
 *   sum      the weights of all n-grams, those of a long middle damped; tokens: how many there are
 *   pushed   the shape's share of the logit
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define MAX_CHARS 4096
#define EDGE_TOKENS 40
#define STEM_CHARS 5
#define CLASSES 10
#define SHAPE 26
#define BASE 0x9E3779B97F4A7C15ULL
#define FIRST 0xD6E8FEB86659FD93ULL
#define SECOND 0xA0761D6478BD642FULL
#define NUMBER_SALT 0x589965CC75374CC3ULL
#define STEM_SALT 0x8EBC6AF09C88C6E3ULL
#define MIX 0xE7037ED1A0B428DBULL
#define MIX_SHIFT 29

enum { SPACE, LETTER, DIGIT, IDEOGRAPH, NEWLINE, PUNCTUATION, MATHS, MARKUP, BRACKET, OTHER };

typedef struct {
    uint64_t words[MAX_CHARS];
    uint64_t stems[MAX_CHARS];
    uint8_t has_stem[MAX_CHARS];
} Tokens;

/* IEEE 754 binary16 to float, subnormals included: move the bits, then mend the exponent's bias. */
static inline float widened(uint16_t half)
{
    const uint32_t bits = (uint32_t)(half & 0x7FFF) << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f;
    return half & 0x8000 ? -value : value;
}

static inline float look_up(const uint16_t *table, int shift, uint64_t hash)
{
    hash ^= hash >> MIX_SHIFT;
    hash *= MIX;
    return widened(table[hash >> shift]);
}

typedef struct {
    int kind;
    const void *data;
    Py_ssize_t size;
} Text;

/* Does the ASCII string `what` stand at `at`? */
static inline int stands(const Text *text, Py_ssize_t at, const char *what)
{
    for (; *what; what++, at++)
        if (at >= text->size || PyUnicode_READ(text->kind, text->data, at) != (Py_UCS4)(unsigned char)*what)
            return 0;
    return 1;
}

typedef struct {
    int backslash, frac, dollar, parenthesis, fence, program, question, options;
} Marks;

static void look_for_marks(const Text *text, Marks *m)
{
    for (Py_ssize_t i = 0; i < text->size; i++) {
        switch (PyUnicode_READ(text->kind, text->data, i)) {
        case '\\':
            m->backslash = 1;
            m->frac |= stands(text, i, "\\frac");
            m->parenthesis |= stands(text, i, "\\(");
            break;
        case '$':
            m->dollar = 1;
            break;
        case '`':
            m->fence |= stands(text, i, "```");
            break;
        case 'd':
            m->program |= stands(text, i, "def ");
            break;
        case '(':
            m->program |= stands(text, i, "();");
            break;
        case 'r':
            m->program |= stands(text, i, "return ");
            break;
        case 'p':
            m->program |= stands(text, i, "public class");
            break;
        case '?':
        case 0xFF1F: /* full width */
        case 0x061F: /* Arabic */
            m->question = 1;
            break;
        case '\n':
            m->options |= stands(text, i, "\nb. ") || stands(text, i, "\nb) ") || stands(text, i, "\n(b) ") ||
                          stands(text, i, "\nb: ");
            break;
        }
    }
}

static double shape_of(const Text *text, const long *counts, const double *weights, int circumstances)
{
    double chars = 0.0;
    for (int k = 0; k < CLASSES; k++)
        chars += (double)counts[k];
    const double share = 1.0 / (chars > 0.0 ? chars : 1.0);
    Marks m = {0};
    look_for_marks(text, &m);
    double pushed = weights[0] * log1p(chars) / 8.0;
    pushed += weights[1 + (chars > 24) + (chars > 96) + (chars > 384) + (chars > 1536)];
    pushed += weights[6] * sqrt((double)counts[DIGIT] * share);
    pushed += weights[7] * sqrt((double)counts[MATHS] * share);
    pushed += weights[8] * sqrt((double)counts[MARKUP] * share);
    pushed += weights[9] * sqrt((double)counts[BRACKET] * share);
    pushed += weights[10] * sqrt((double)counts[PUNCTUATION] * share);
    pushed += weights[11] * (double)counts[IDEOGRAPH] * share;
    pushed += weights[12] * sqrt((double)counts[OTHER] * share);
    pushed += weights[13] * log1p((double)counts[NEWLINE]) / 4.0;
    pushed += weights[14] * log1p((double)counts[DIGIT]) / 4.0;
    if (m.backslash && (m.frac || m.dollar || m.parenthesis))
        pushed += weights[15];
    if (m.fence)
        pushed += weights[16];
    if (m.program)
        pushed += weights[17];
    if (m.question)
        pushed += weights[18];
    if (m.options)
        pushed += weights[19];
    if (chars > 1536 && (double)(counts[MATHS] + counts[MARKUP]) < 0.02 * chars)
        pushed += weights[20];
    for (int k = 0; k < 5; k++)
        if (circumstances >> k & 1)
            pushed += weights[21 + k];
    return pushed;
}

static PyObject *scan_views(PyObject *text, const Py_buffer *classes, const Py_buffer *table, int shift,
                            const Py_buffer *shape, int circumstances)
{
    if (classes->len != 65536 || shift < 32 || shift > 60 ||
        table->len != (Py_ssize_t)(sizeof(uint16_t) << (64 - shift)) || shape->len != SHAPE * (Py_ssize_t)sizeof(double)) {
        PyErr_SetString(PyExc_ValueError, "classes, table or shape has the wrong size");
        return NULL;
    }
    const uint8_t *class_of = classes->buf;
    const uint16_t *weights = table->buf;
    Text view = {PyUnicode_KIND(text), PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text)};
    const int kind = view.kind;
    const void *data = view.data;
    const Py_ssize_t size = view.size > MAX_CHARS ? MAX_CHARS : view.size;

    long counts[CLASSES] = {0};
    Tokens tokens; /* 68 KB of stack, of which a short text touches little */
    Py_ssize_t n = 0, i = 0;
    while (i < size) {
        Py_UCS4 code = PyUnicode_READ(kind, data, i);
        if (code > 0xFFFF)
            code = 0xFFFF;
        const uint8_t class = class_of[code];
        i++;
        if (class >= CLASSES) /* a table that is not ours */
            continue;
        counts[class]++;
        if (class == SPACE)
            continue;
        uint64_t hash = code, power = BASE, stem = 0;
        Py_ssize_t length = 1;
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
        if (k >= 1)
            here += look_up(weights, shift, tokens.words[k - 1] * FIRST + tokens.words[k]);
        if (k >= 2) {
            const uint64_t pair = tokens.words[k - 2] * FIRST + tokens.words[k - 1];
            here += look_up(weights, shift, pair * SECOND + tokens.words[k]);
        }
        if (tokens.has_stem[k])
            here += look_up(weights, shift, tokens.stems[k]);
        sum += k >= EDGE_TOKENS && k < n - EDGE_TOKENS ? here * damped : here;
    }
    return Py_BuildValue("dnd", sum, n, shape_of(&view, counts, shape->buf, circumstances));
}

static PyObject *scan(PyObject *module, PyObject *args)
{
    PyObject *text;
    Py_buffer classes, table, shape;
    int shift, circumstances;
    if (!PyArg_ParseTuple(args, "Uy*y*iy*i", &text, &classes, &table, &shift, &shape, &circumstances))
        return NULL;
    PyObject *result = scan_views(text, &classes, &table, shift, &shape, circumstances);
    PyBuffer_Release(&classes);
    PyBuffer_Release(&table);
    PyBuffer_Release(&shape);
    return result;
}

static PyMethodDef methods[] = {
    {"scan", scan, METH_VARARGS, "scan(text, classes, table, shift, shape, circumstances) -> (sum, tokens, pushed)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_scan", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__scan(void) { return PyModule_Create(&definition); }
