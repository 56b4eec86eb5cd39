#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "item.h"
#include "session/item_check.h"

namespace interleave {

struct Flight;
class ServedModel;

// An item that passed CheckItem. Moved, never copied.
struct QueuedItem {
  Item item;
  ItemShape shape;
  std::int64_t enqueuedNs = 0;
  // Of the revision that the item names. Keeps it, also after it was retired.
  std::shared_ptr<ServedModel> model{};
  // ContentKey of an item that may share a run with its duplicates.
  std::optional<std::uint64_t> contentKey{};
  // The flight that it leads; see flights.h.
  Flight* flight = nullptr;
};

}  // namespace interleave
