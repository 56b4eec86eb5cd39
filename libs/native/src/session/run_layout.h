// How the rows of several items lie in the tensors of one run: stacked along the batch axis, padded to the longest item
// along each sequence axis.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "session/item_check.h"

namespace interleave {

struct RunLayout {
  struct Part {
    std::int64_t rowStart = 0;
    std::int64_t rows = 0;
    std::array<std::int64_t, 2> lengths{};
  };
  std::int64_t rows = 0;
  std::array<std::int64_t, 2> lengths{};  // of the longest item
  std::vector<Part> parts;                // one per item, in order
  // One item that is odd (item_check.h): its tensors are run as they are.
  bool isOdd = false;

  bool IsPadded() const;
  // Tokens of the items as they are, and as they are run.
  std::int64_t RealTokens() const;
  std::int64_t PaddedTokens() const;
};

// Fills `layout` (its memory is reused) for items of these shapes.
void LayOut(std::span<const ItemShape> shapes, RunLayout& layout);

// Tokens of `rows` rows: what the token cap of a run counts. A model without sequence axis has one token a row.
std::int64_t Tokens(std::int64_t rows, const std::array<std::int64_t, 2>& lengths);

}  // namespace interleave
