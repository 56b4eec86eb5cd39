#include "run/flights.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <string_view>

#include "hash.h"

namespace interleave {
namespace {

std::uint64_t HashOf(const void* data, std::size_t bytes) {
  return std::hash<std::string_view>{}({static_cast<const char*>(data), bytes});
}

bool IsEqual(const TensorView& a, const TensorView& b) {
  return a.index == b.index && a.type == b.type && a.shape.rank == b.shape.rank && a.shape.dims == b.shape.dims &&
         a.bytes == b.bytes && (a.bytes == 0 || std::memcmp(a.data, b.data, a.bytes) == 0);
}

bool IsEqual(const Flight& flight, const QueuedItem& queued) {
  const Item& item = queued.item;
  return flight.clientId == item.clientId && flight.model == queued.model.get() && flight.outputMask == item.outputMask &&
         std::equal(flight.inputs.begin(), flight.inputs.end(), item.inputs.begin(), item.inputs.end(),
                    [](const TensorView& a, const TensorView& b) { return IsEqual(a, b); });
}

}  // namespace

std::uint64_t ContentKey(const Item& item) {
  std::uint64_t key = Mix(Mix(item.clientId, item.revision), item.outputMask);
  for (const TensorView& input : item.inputs) {
    key = Mix(key, static_cast<std::uint64_t>(input.type));
    key = Mix(key, HashOf(input.shape.dims.data(), input.shape.rank * sizeof(input.shape.dims[0])));
    key = Mix(key, HashOf(input.data, input.bytes));
  }
  return key;
}

Flight* Flights::Join(QueuedItem& queued) {
  if (!queued.contentKey) return nullptr;
  const auto found = flights_.find(*queued.contentKey);
  if (found == flights_.end() || !IsEqual(found->second, queued)) return nullptr;
  Flight& flight = found->second;
  if (flight.isRunning) queued.item.responder->MarkRunning();
  flight.followers.push_back(std::move(queued));
  ++followersCount_;
  return &flight;
}

void Flights::Lead(QueuedItem& queued, std::size_t position) {
  if (!queued.contentKey) return;
  const auto [place, isNew] = flights_.try_emplace(*queued.contentKey);
  Flight& flight = place->second;
  if (queued.flight == &flight) flight.position = position;
  if (!isNew) return;
  flight.key = *queued.contentKey;
  flight.clientId = queued.item.clientId;
  flight.model = queued.model.get();
  flight.outputMask = queued.item.outputMask;
  flight.inputs = queued.item.inputs;
  flight.position = position;
  queued.flight = &flight;
}

void Flights::Start(QueuedItem& leader) {
  if (leader.flight == nullptr) return;
  leader.flight->isRunning = true;
  for (QueuedItem& follower : leader.flight->followers) follower.item.responder->MarkRunning();
}

std::optional<QueuedItem> Flights::Succeed(QueuedItem& leader) {
  if (leader.flight == nullptr) return std::nullopt;
  Flight& flight = *leader.flight;
  if (flight.followers.empty()) {
    Close(leader);
    return std::nullopt;
  }
  leader.flight = nullptr;
  QueuedItem successor = std::move(flight.followers.front());
  flight.followers.erase(flight.followers.begin());
  --followersCount_;
  flight.inputs = successor.item.inputs;
  flight.isRunning = false;
  successor.flight = &flight;
  return successor;
}

std::vector<QueuedItem> Flights::Close(QueuedItem& leader) {
  if (leader.flight == nullptr) return {};
  std::vector<QueuedItem> followers = std::move(leader.flight->followers);
  followersCount_ -= followers.size();
  flights_.erase(leader.flight->key);
  leader.flight = nullptr;
  return followers;
}

}  // namespace interleave
