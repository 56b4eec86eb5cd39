// What an element type keeps of a number: the proof computes in double, the runtime in the tensor's own type.
#pragma once

#include "graph/element_type.h"
#include "graph/value.h"

namespace interleave::graph {

// The number as a tensor of this type (kFloat and so on) holds it: opaque where it could be rounded or wrap around,
// rough where a product of sizes could. Fixed numbers are known only as whole ones below 2^31, or in floats as small
// multiples of 1/65536. For as many as 65 536 rows and axes of 4 194 304 entries.
Number Held(const Number& number, int type);

}  // namespace interleave::graph
