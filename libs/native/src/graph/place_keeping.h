// Values that are the same for all rows, such as positions, along an axis whose length varies.
#pragma once

#include "graph/call.h"

namespace interleave::graph {

// Whether each entry of the outputs would be the same if the axes that vary in length were longer. Of an operator whose
// inputs have no rows; false where that is not known.
bool KeepsPlaces(Call& call);

}  // namespace interleave::graph
