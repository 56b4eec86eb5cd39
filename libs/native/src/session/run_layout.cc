#include "session/run_layout.h"

#include <algorithm>

namespace interleave {

bool RunLayout::IsPadded() const {
  return std::any_of(parts.begin(), parts.end(), [this](const Part& part) { return part.lengths != lengths; });
}

std::int64_t RunLayout::RealTokens() const {
  std::int64_t tokens = 0;
  for (const Part& part : parts) tokens += Tokens(part.rows, part.lengths);
  return tokens;
}

std::int64_t RunLayout::PaddedTokens() const { return Tokens(rows, lengths); }

void LayOut(std::span<const ItemShape> shapes, RunLayout& layout) {
  layout.rows = 0;
  layout.lengths = {};
  layout.isOdd = false;
  layout.parts.clear();
  for (const ItemShape& shape : shapes) {
    layout.parts.push_back({layout.rows, shape.rows, shape.lengths});
    layout.rows += shape.rows;
    layout.isOdd = layout.isOdd || shape.isOdd;
    for (std::size_t k = 0; k < 2; ++k) layout.lengths[k] = std::max(layout.lengths[k], shape.lengths[k]);
  }
}

std::int64_t Tokens(std::int64_t rows, const std::array<std::int64_t, 2>& lengths) {
  return rows * std::max<std::int64_t>(1, lengths[0] + lengths[1]);
}

}  // namespace interleave
