# SPDX-License-Identifier: GPL-2.0-or-later
"""HTML of the documents, and whether their links lead anywhere."""
