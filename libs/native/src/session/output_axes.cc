#include "session/output_axes.h"

#include <algorithm>
#include <bit>

namespace interleave {

OutputAxes::OutputAxes(const Signature& signature) : signature_(signature) {
  if (signature.coalesce != CoalesceMode::kPadded || signature.sequenceAxes == 0) return;
  const unsigned candidates = (signature.sequenceAxes == 2 ? 3U : 1U) | kConstant;
  for (std::size_t output = 0; output < signature.outputs.size(); ++output) {
    const TensorSpec& spec = signature.outputs[output];
    for (std::size_t index = 0; index < spec.shape.rank; ++index) {
      if (spec.axes[index] != Axis::kUnknown) continue;
      unnamed_.push_back({.output = output, .index = index, .candidates = candidates});
    }
  }
  settled_ = unnamed_.empty();
}

// Known: one candidate is left, and lengths differed between runs along every axis, so that it is not by chance.
bool OutputAxes::IsKnown(const Dimension& dimension) const {
  if (std::popcount(dimension.candidates) != 1) return false;
  for (int k = 0; k < signature_.sequenceAxes; ++k) {
    if (!dimension.lengthsVaried[k]) return false;
  }
  return true;
}

void OutputAxes::Learn(Dimension& dimension, std::int64_t value, const RunLayout& layout) {
  for (std::size_t k = 0; k < static_cast<std::size_t>(signature_.sequenceAxes); ++k) {
    if (value != layout.lengths[k]) dimension.candidates &= ~(1U << k);
    if (dimension.firstLengths[k] < 0) dimension.firstLengths[k] = layout.lengths[k];
    if (dimension.firstLengths[k] != layout.lengths[k]) dimension.lengthsVaried[k] = true;
  }
  if (dimension.constant < 0) dimension.constant = value;
  if (dimension.constant != value) dimension.candidates &= ~kConstant;
}

void OutputAxes::LearnAndResolve(std::size_t output, const Shape& shape, const RunLayout& layout,
                                 std::array<Axis, kRankMax>& axes) {
  const std::scoped_lock lock(mutex_);
  for (Dimension& dimension : unnamed_) {
    if (dimension.output != output || dimension.index >= shape.rank) continue;
    Learn(dimension, shape.dims[dimension.index], layout);
    if (!IsKnown(dimension)) continue;
    axes[dimension.index] = dimension.candidates == kConstant ? Axis::kFixed
                            : dimension.candidates == 1       ? Axis::kSequence0
                                                              : Axis::kSequence1;
  }
  const bool isKnown = std::all_of(unnamed_.begin(), unnamed_.end(), [this](const Dimension& d) { return IsKnown(d); });
  settled_ = isKnown && !isContradicted_;
}

bool OutputAxes::Observe(std::size_t output, const Shape& shape, const RunLayout& layout,
                         std::array<Axis, kRankMax>& axes) {
  const TensorSpec& spec = signature_.outputs[output];
  axes = spec.axes;
  if (layout.isOdd) return true;  // its sizes are its own
  if (!unnamed_.empty()) LearnAndResolve(output, shape, layout, axes);
  if (shape.rank != spec.shape.rank || shape.rank == 0 || shape.dims[0] != layout.rows) {
    hasRows_ = false;
    return layout.parts.size() == 1;
  }
  if (layout.parts.size() == 1) return true;
  bool canBeCut = true;
  for (std::size_t d = 1; d < shape.rank; ++d) {
    const int k = SequenceIndex(axes[d]);
    if (k >= 0 && shape.dims[d] != layout.lengths[static_cast<std::size_t>(k)]) {
      isContradicted_ = true;
      settled_ = false;
      axes[d] = Axis::kUnknown;
    }
    canBeCut = canBeCut && axes[d] != Axis::kUnknown;
  }
  return canBeCut || !layout.IsPadded();
}

Shape PartShape(const Shape& shape, const std::array<Axis, kRankMax>& axes, const RunLayout& layout,
                const RunLayout::Part& part) {
  if (layout.parts.size() == 1) return shape;
  Shape cut = shape;
  cut.dims[0] = part.rows;
  for (std::size_t d = 1; d < shape.rank; ++d) {
    const int k = SequenceIndex(axes[d]);
    if (k >= 0) cut.dims[d] = part.lengths[static_cast<std::size_t>(k)];
  }
  return cut;
}

}  // namespace interleave
