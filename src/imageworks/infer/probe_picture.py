"""The 64 by 64 pixel JPEG of preflight: blue sky, a yellow sun, green ground."""

from __future__ import annotations

from base64 import b64decode

_BASE64 = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsj"
    "HBYWICwgIyYnKSopGR8tMC0oMCUoKSj/2wBDAQcHBwoIChMKChMoGhYaKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo"
    "KCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCj/wAARCABAAEADASIAAhEBAxEB/8QAGAABAQEBAQAAAAAAAAAAAAAA"
    "AAUHBAL/xAArEAABAwIDBwQDAQAAAAAAAAABAAIDBBEFFTEGEiFhY6LhEyJBgRQjQ1H/xAAZAQEAAgMAAAAAAAAA"
    "AAAAAAAABQYCAwT/xAAqEQABAgMGBgIDAAAAAAAAAAABAAIDBAUGETFRodESExVBUpEhImFxgf/aAAwDAQACEQMR"
    "AD8A5ERFc1VkRERERdGH0ktfWw0tOLyyuDRwNhzNvganktjwfBaDCI7UUDWvtZ0ruL3aXufoGw4clAVy0EGkBrXN"
    "4nuwGHs9vRUhI0585eQbgO6xRFsO0WztHi9PM4wsZWlp9OYe071hbeI1HADiDYaLIJGPjkdHI1zHtJa5rhYgjUEL"
    "ZRK5Bq8MuYOFzcQfzke4/gWM9IPk3AON4OBXlERTa4URERFU2Zro8Nx2jqph+pjiHn/A4FpP1e9uS2hYGruD7VYp"
    "hcfpRytnhAs2OcFwbpaxuCOA0vbkqhaezsSqObHlyONouIPcX3j1ef2pil1JsqDDiD4PytbqJo6enlmmduxRtL3u"
    "tewAuSsPxCo/Mr6mp3dz1pXSbt72uSbX+1QxnaLEcXu2pm3ID/GL2s+NRqeIvxJt8KOt1maA+lNdEjEF7rsMAN89"
    "FhVKg2bIawfUaoinZn0e7wmZ9Hu8KV61Jeeh2Uby3ZKiinZn0e7wmZ9Hu8J1qS89DsnLdkqKKdmfR7vCZn0e7wnW"
    "pLz0Oyct2Soop2Z9Hu8JmfR7vCdakvPQ7Jy3ZKciIqGutERERERERERERf/Z"
)


def probe_jpeg() -> bytes:
    """The picture's bytes, 771 of them, without any metadata."""
    return b64decode(_BASE64)
