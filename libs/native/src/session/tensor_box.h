// Moving the rows of one item into and out of a tensor of a run. Both are row-major; the item's dimensions are at most
// the run's in every dimension, and its rows start at `rowStart` of dimension 0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "item.h"
#include "session/pad_value.h"

namespace interleave {

// Writes the item's `item.dims[0]` rows (all of a scalar) and fills what they leave free with `pad`.
void CopyIntoRun(std::byte* run, const Shape& runShape, std::int64_t rowStart, const std::byte* item,
                 const Shape& itemShape, std::size_t elementBytes, const PadValue& pad);

// The reverse: cuts the item's rows and lengths out of the run.
void CutFromRun(std::byte* item, const Shape& itemShape, const std::byte* run, const Shape& runShape,
                std::int64_t rowStart, std::size_t elementBytes);

// Walks the elements of the item in row-major order; Next gives the position of each in the tensor of the run.
class BoxWalk {
 public:
  BoxWalk(const Shape& runShape, const Shape& itemShape, std::int64_t rowStart);
  // -1 after the last element.
  std::int64_t Next();

 private:
  Shape item_;
  std::array<std::int64_t, kRankMax> strides_{};
  std::array<std::int64_t, kRankMax> position_{};
  std::int64_t offset_ = 0;
  std::int64_t left_ = 0;
};

}  // namespace interleave
