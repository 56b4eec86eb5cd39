// Does a request fit the model? Answered on arrival, so that nothing malformed waits in the queue.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "item.h"
#include "session/signature.h"

namespace interleave {

// Rows of one item, whatever the limits of a shared run say.
inline constexpr std::int64_t kItemRowsMax = 65'536;

// What an item adds to a run.
struct ItemShape {
  std::int64_t rows = 1;
  // Along sequence0 and sequence1; 0 where the model has no such axis.
  std::array<std::int64_t, 2> lengths{};
  // Items whose free dimensions agree have equal keys (a hash: equal keys are checked again when packing).
  std::uint64_t shapeKey = 0;
  // Every mask is all ones, so that rows can be padded with masked places. With anything else in a mask, nobody knows
  // what padding would do.
  bool mayBePadded = true;
  // Has an empty dimension, or sizes that the graph calls one and the same differ: it runs alone and just as it is,
  // `rows` and `lengths` are the largest, and nothing is learnt from its run. ONNX Runtime decides whether it can be
  // run.
  bool isOdd = false;
};

// Checks inputs, types, shapes and sizes of `item`, sorts its inputs by index and fills `shape`. Returns what is wrong,
// naming the input, what was expected and what came; empty when nothing is.
std::string CheckItem(const Signature& signature, Item& item, ItemShape& shape);

// Which inputs of an item that passed CheckItem differ where the graph gives their dimensions one name; empty: none.
std::string Disagreement(const Signature& signature, const Item& item);

// "[2,16]".
std::string ShapeText(const Shape& shape);

// Elements of a tensor; -1 when a dimension is negative or the product does not fit.
std::int64_t ElementCount(const Shape& shape);

}  // namespace interleave
