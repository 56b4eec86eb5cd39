// Duplicates: items that ask for the same outputs of the same model on the same bytes run once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "run/queued_item.h"

namespace interleave {

// A hash over all that makes items of one client duplicates: revision, outputs, types, shapes and bytes of the inputs.
// Equal keys are checked byte for byte. Precondition: the item passed CheckItem.
std::uint64_t ContentKey(const Item& item);

// An item that runs, and those that wait for its answer.
struct Flight {
  std::uint64_t key = 0;
  // Content of the leader; `inputs` lie in its Item, whose memory stays where it is when the item is moved.
  std::uint64_t clientId = 0;
  const ServedModel* model = nullptr;
  std::uint64_t outputMask = 0;
  std::span<const TensorView> inputs;
  // The leader has left the queue in a run.
  bool isRunning = false;
  // Place of the leader among the items that wait, while it does.
  std::size_t position = 0;
  std::vector<QueuedItem> followers;  // in order of arrival
};

// The flights of a queue, guarded by its mutex. Bounded by the items that the queue accepts: at most one flight for
// each.
//
// State of a flight:   Lead -> Waiting -- Start --> Running -- Close --> (closed)
//  - Waiting or Running, it is open: an equal item joins it. Its leader points to it, and only its leader does.
//  - Waiting, the leader is in the queue. When it is answered without a run (cancelled, expired, its client gone; or it
//    was taken out but not run), the first follower takes its place and waits (Succeed); without one the flight closes.
//  - Running, whoever runs the leader closes the flight before the leader is answered, since the answer gives the
//  memory
//    that duplicates are compared with back to the client. What Close returns must be answered.
//  - A follower leaves by Close, by Succeed, or by TakeFollowersIf (cancelled, expired, its client gone), in any state.
// Only items of one client are duplicates: it can change its memory after the check, so nobody else may be answered
// from it. Followers of a running leader are marked as running: if the process dies they are suspects as well.
class Flights {
 public:
  // Makes `queued` a follower of the open flight of an equal item and returns that flight; null when there is none, and
  // `queued` is as it was.
  Flight* Join(QueuedItem& queued);

  // Opens a flight led by `queued`, which waits at `position`; one that leads already goes on with its own. Does
  // nothing for an item without a key, or whose key is taken by an item that is not equal: it runs without.
  void Lead(QueuedItem& queued, std::size_t position);

  // The leader runs from now on.
  void Start(QueuedItem& leader);

  // The leader will be answered without a run. Returns the follower that leads and waits in its place, if there is one.
  std::optional<QueuedItem> Succeed(QueuedItem& leader);

  // Closes the flight that the item leads, if it leads one, and returns the followers.
  std::vector<QueuedItem> Close(QueuedItem& leader);

  // Takes followers out. `onChange` is called for each flight that lost one.
  template <class Predicate, class OnChange>
  std::vector<QueuedItem> TakeFollowersIf(Predicate predicate, OnChange onChange) {
    std::vector<QueuedItem> taken;
    if (followersCount_ == 0) return taken;
    for (auto& [key, flight] : flights_) {
      std::vector<QueuedItem>& all = flight.followers;
      const auto first = std::stable_partition(all.begin(), all.end(), std::not_fn(predicate));
      if (first == all.end()) continue;
      std::move(first, all.end(), std::back_inserter(taken));
      all.erase(first, all.end());
      onChange(flight);
    }
    followersCount_ -= taken.size();
    return taken;
  }

 private:
  std::unordered_map<std::uint64_t, Flight> flights_;  // by key
  std::size_t followersCount_ = 0;
};

}  // namespace interleave
