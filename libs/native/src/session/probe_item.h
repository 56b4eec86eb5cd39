// Made-up inputs that show what a run costs.
#pragma once

#include <cstdint>
#include <vector>

#include "item.h"
#include "session/item_check.h"
#include "session/signature.h"
#include "session/strings.h"

namespace interleave {

// An item without a client. `item` points into `bytes`: moved, never copied.
struct ProbeItem {
  Item item;
  ItemShape shape;
  std::vector<std::vector<std::byte>> bytes;  // by input
  std::vector<StringElements> strings;        // by input
};

// An item that has these shapes and bytes, both by input; strings as they travel. Throws SignatureError when it does
// not fit the model.
ProbeItem AssembleProbe(const Signature& signature, const std::vector<Shape>& shapes,
                        std::vector<std::vector<std::byte>> contents);

// Ones in inputs that are masks, zeros in all others, empty strings. `rows` counts along the batch axis. `length`
// counts along the sequence axis; of two, each has about half of it, as the tokens of a row are the sum of both. Throws
// SignatureError when the model does not have what is asked for: a batch axis for several rows, a sequence axis for
// more than one token (two axes need at least two), no axis that is free.
ProbeItem MakeProbeItem(const Signature& signature, std::int64_t rows, std::int64_t length);

}  // namespace interleave
