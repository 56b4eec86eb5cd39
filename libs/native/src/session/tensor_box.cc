#include "session/tensor_box.h"

#include <algorithm>
#include <cstring>

#include "session/item_check.h"

namespace interleave {
namespace {

// Bytes of one index of each dimension, and the first dimension from which run and item are laid out alike.
struct Box {
  Box(const Shape& runShape, const Shape& itemShape, std::size_t elementBytes) : item(itemShape), run(runShape) {
    std::size_t runStride = elementBytes;
    std::size_t itemStride = elementBytes;
    for (std::size_t d = item.rank; d-- > 0;) {
      runBytes[d] = runStride;
      itemBytes[d] = itemStride;
      runStride *= static_cast<std::size_t>(run.dims[d]);
      itemStride *= static_cast<std::size_t>(item.dims[d]);
    }
    alikeFrom = item.rank;
    while (alikeFrom > 0 && run.dims[alikeFrom - 1] == item.dims[alikeFrom - 1]) --alikeFrom;
  }

  // Whether indexes of dimension `d` are contiguous blocks of both; their bytes.
  bool IsBlock(std::size_t d) const { return d + 1 >= alikeFrom; }
  std::size_t BlockBytes(std::size_t d) const { return itemBytes[d] * static_cast<std::size_t>(item.dims[d]); }

  const Shape& item;
  const Shape& run;
  std::array<std::size_t, kRankMax> runBytes{};
  std::array<std::size_t, kRankMax> itemBytes{};
  std::size_t alikeFrom = 0;
};

template <class T>
void FillWith(std::byte* to, std::size_t bytes, const PadValue& pad) {
  T value;
  std::memcpy(&value, pad.bytes.data(), sizeof(T));
  std::fill_n(reinterpret_cast<T*>(to), bytes / sizeof(T), value);
}

void Fill(std::byte* to, std::size_t bytes, std::size_t elementBytes, const PadValue& pad) {
  switch (elementBytes) {
    case 1:
      return FillWith<std::uint8_t>(to, bytes, pad);
    case 2:
      return FillWith<std::uint16_t>(to, bytes, pad);
    case 4:
      return FillWith<std::uint32_t>(to, bytes, pad);
    default:
      return FillWith<std::uint64_t>(to, bytes, pad);
  }
}

struct Padder {
  const Box& box;
  std::size_t elementBytes;
  const PadValue& pad;

  // Copies dimension `d` and everything below; then fills the run's part of it that the item does not reach. The
  // run's dimension 0 belongs to other items, too, and is not filled.
  void Copy(std::byte* to, const std::byte* from, std::size_t d) const {
    if (box.IsBlock(d)) {
      std::memcpy(to, from, box.BlockBytes(d));
    } else {
      for (std::int64_t i = 0; i < box.item.dims[d]; ++i) {
        Copy(to + static_cast<std::size_t>(i) * box.runBytes[d], from + static_cast<std::size_t>(i) * box.itemBytes[d],
             d + 1);
      }
    }
    if (d == 0) return;
    const auto used = static_cast<std::size_t>(box.item.dims[d]) * box.runBytes[d];
    const auto all = static_cast<std::size_t>(box.run.dims[d]) * box.runBytes[d];
    Fill(to + used, all - used, elementBytes, pad);
  }
};

void Cut(std::byte* to, const std::byte* from, const Box& box, std::size_t d) {
  if (box.IsBlock(d)) {
    std::memcpy(to, from, box.BlockBytes(d));
    return;
  }
  for (std::int64_t i = 0; i < box.item.dims[d]; ++i) {
    Cut(to + static_cast<std::size_t>(i) * box.itemBytes[d], from + static_cast<std::size_t>(i) * box.runBytes[d], box,
        d + 1);
  }
}

}  // namespace

void CopyIntoRun(std::byte* run, const Shape& runShape, std::int64_t rowStart, const std::byte* item,
                 const Shape& itemShape, std::size_t elementBytes, const PadValue& pad) {
  if (itemShape.rank == 0) {
    std::memcpy(run, item, elementBytes);
    return;
  }
  if (ElementCount(runShape) == 0) return;
  const Box box(runShape, itemShape, elementBytes);
  Padder{box, elementBytes, pad}.Copy(run + static_cast<std::size_t>(rowStart) * box.runBytes[0], item, 0);
}

void CutFromRun(std::byte* item, const Shape& itemShape, const std::byte* run, const Shape& runShape,
                std::int64_t rowStart, std::size_t elementBytes) {
  if (itemShape.rank == 0) {
    std::memcpy(item, run, elementBytes);
    return;
  }
  if (ElementCount(itemShape) == 0) return;
  const Box box(runShape, itemShape, elementBytes);
  Cut(item, run + static_cast<std::size_t>(rowStart) * box.runBytes[0], box, 0);
}

BoxWalk::BoxWalk(const Shape& runShape, const Shape& itemShape, std::int64_t rowStart)
    : item_(itemShape), left_(ElementCount(itemShape)) {
  std::int64_t stride = 1;
  for (std::size_t d = item_.rank; d-- > 0;) {
    strides_[d] = stride;
    stride *= runShape.dims[d];
  }
  if (item_.rank > 0) offset_ = rowStart * strides_[0];
}

std::int64_t BoxWalk::Next() {
  if (left_ <= 0) return -1;
  --left_;
  const std::int64_t current = offset_;
  for (std::size_t d = item_.rank; d-- > 0;) {
    offset_ += strides_[d];
    if (++position_[d] < item_.dims[d]) break;
    offset_ -= strides_[d] * item_.dims[d];
    position_[d] = 0;
  }
  return current;
}

}  // namespace interleave
