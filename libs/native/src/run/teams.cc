#include "run/teams.h"

#include <algorithm>

namespace interleave {

bool Teams::IsFreeFor(std::size_t executor, std::size_t width) const {
  const auto first = isHeld_.begin() + static_cast<std::ptrdiff_t>(executor);
  if (std::any_of(first, first + static_cast<std::ptrdiff_t>(width), [](bool isHeld) { return isHeld; })) return false;
  for (const Claimed& claim : claims_) {
    if (claim.leader == executor) return true;
    if (claim.leader < executor + width && executor < claim.leader + claim.width) return false;
  }
  return true;
}

void Teams::Begin(std::size_t executor, std::size_t width) {
  Drop(executor);
  widths_[executor] = width;
  for (std::size_t i = executor; i < executor + width; ++i) isHeld_[i] = true;
}

std::size_t Teams::End(std::size_t executor) {
  const std::size_t width = widths_[executor];
  widths_[executor] = 0;
  for (std::size_t i = executor; i < executor + width; ++i) isHeld_[i] = false;
  return width;
}

void Teams::Claim(std::size_t executor, std::size_t width) {
  const auto own = std::ranges::find(claims_, executor, &Claimed::leader);
  if (own == claims_.end()) {
    claims_.push_back({executor, width});
  } else {
    own->width = width;
  }
}

std::size_t Teams::Drop(std::size_t executor) {
  const std::size_t width = ClaimOf(executor);
  std::erase_if(claims_, [executor](const Claimed& claim) { return claim.leader == executor; });
  return width;
}

std::size_t Teams::ClaimOf(std::size_t executor) const {
  const auto claim = std::ranges::find(claims_, executor, &Claimed::leader);
  return claim == claims_.end() ? 0 : claim->width;
}

std::vector<std::size_t> Teams::Satisfied() const {
  std::vector<std::size_t> leaders;
  for (const Claimed& claim : claims_) {
    if (IsFreeFor(claim.leader, claim.width)) leaders.push_back(claim.leader);
  }
  return leaders;
}

}  // namespace interleave
