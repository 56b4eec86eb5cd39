#include "session/tensor_box.h"

#include <algorithm>
#include <cstring>

#include "session/item_check.h"

namespace interleave {
namespace {

// Bytes of one index of each dimension, and the first dimension from which batch and item are laid out alike.
struct Box {
  Box(const Shape& batchShape, const Shape& itemShape, std::size_t elementBytes) : item(itemShape), batch(batchShape) {
    std::size_t batchStride = elementBytes;
    std::size_t itemStride = elementBytes;
    for (std::size_t d = item.rank; d-- > 0;) {
      batchBytes[d] = batchStride;
      itemBytes[d] = itemStride;
      batchStride *= static_cast<std::size_t>(batch.dims[d]);
      itemStride *= static_cast<std::size_t>(item.dims[d]);
    }
    alikeFrom = item.rank;
    while (alikeFrom > 0 && batch.dims[alikeFrom - 1] == item.dims[alikeFrom - 1]) --alikeFrom;
  }

  // Whether indexes of dimension `d` are contiguous blocks of both; their bytes.
  bool IsBlock(std::size_t d) const { return d + 1 >= alikeFrom; }
  std::size_t BlockBytes(std::size_t d) const { return itemBytes[d] * static_cast<std::size_t>(item.dims[d]); }

  const Shape& item;
  const Shape& batch;
  std::array<std::size_t, kRankMax> batchBytes{};
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

  // Copies dimension `d` and everything below; then fills the batch's part of it that the item does not reach. The
  // batch's dimension 0 belongs to other items, too, and is not filled.
  void Copy(std::byte* to, const std::byte* from, std::size_t d) const {
    if (box.IsBlock(d)) {
      std::memcpy(to, from, box.BlockBytes(d));
    } else {
      for (std::int64_t i = 0; i < box.item.dims[d]; ++i) {
        Copy(to + static_cast<std::size_t>(i) * box.batchBytes[d], from + static_cast<std::size_t>(i) * box.itemBytes[d],
             d + 1);
      }
    }
    if (d == 0) return;
    const auto used = static_cast<std::size_t>(box.item.dims[d]) * box.batchBytes[d];
    const auto all = static_cast<std::size_t>(box.batch.dims[d]) * box.batchBytes[d];
    Fill(to + used, all - used, elementBytes, pad);
  }
};

void Cut(std::byte* to, const std::byte* from, const Box& box, std::size_t d) {
  if (box.IsBlock(d)) {
    std::memcpy(to, from, box.BlockBytes(d));
    return;
  }
  for (std::int64_t i = 0; i < box.item.dims[d]; ++i) {
    Cut(to + static_cast<std::size_t>(i) * box.itemBytes[d], from + static_cast<std::size_t>(i) * box.batchBytes[d], box,
        d + 1);
  }
}

}  // namespace

void CopyIntoBatch(std::byte* batch, const Shape& batchShape, std::int64_t rowStart, const std::byte* item,
                   const Shape& itemShape, std::size_t elementBytes, const PadValue& pad) {
  if (itemShape.rank == 0) {
    std::memcpy(batch, item, elementBytes);
    return;
  }
  if (ElementCount(batchShape) == 0) return;
  const Box box(batchShape, itemShape, elementBytes);
  Padder{box, elementBytes, pad}.Copy(batch + static_cast<std::size_t>(rowStart) * box.batchBytes[0], item, 0);
}

void CutFromBatch(std::byte* item, const Shape& itemShape, const std::byte* batch, const Shape& batchShape,
                  std::int64_t rowStart, std::size_t elementBytes) {
  if (itemShape.rank == 0) {
    std::memcpy(item, batch, elementBytes);
    return;
  }
  if (ElementCount(itemShape) == 0) return;
  const Box box(batchShape, itemShape, elementBytes);
  Cut(item, batch + static_cast<std::size_t>(rowStart) * box.batchBytes[0], box, 0);
}

BoxWalk::BoxWalk(const Shape& batchShape, const Shape& itemShape, std::int64_t rowStart)
    : item_(itemShape), left_(ElementCount(itemShape)) {
  std::int64_t stride = 1;
  for (std::size_t d = item_.rank; d-- > 0;) {
    strides_[d] = stride;
    stride *= batchShape.dims[d];
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
